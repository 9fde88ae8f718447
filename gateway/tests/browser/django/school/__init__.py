"""A small school platform: a real Django whose login costs what Django's login costs."""
