"""The login of django.contrib.auth, and the page that is seen after it."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import include, path


@login_required
def home(request):
    return render(request, "home.html")


urlpatterns = [
    path("", home, name="home"),
    path("accounts/", include("django.contrib.auth.urls")),
    # Browsers ask for it by themselves; a missing one would be a console error of ours, not of the gateway.
    path("favicon.ico", lambda request: HttpResponse(status=204)),
]
