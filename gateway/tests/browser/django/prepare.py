"""Creates the database and the users: `prepare.py COUNT PASSWORD` makes pupil1 … pupilCOUNT."""

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "school.settings")
django.setup()

from django.contrib.auth.hashers import make_password  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402

count, password = int(sys.argv[1]), sys.argv[2]
call_command("migrate", verbosity=0)
# One hash for all of them: making one costs as much as a login, and checking it costs the same all the same.
encoded = make_password(password)
User.objects.bulk_create(
    (User(username=f"pupil{number}", password=encoded) for number in range(1, count + 1)),
    ignore_conflicts=True,
)
