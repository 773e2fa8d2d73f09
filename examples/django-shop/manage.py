#!/usr/bin/env python3
import os
import sys
from pathlib import Path

# An application that has installed the package does not need this line.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "clients" / "django"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
else:  # gunicorn manage:application
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
