#!/usr/bin/env python3
"""Runs the tests: manage.py test.

The server is that of the PG variables.  ADAPTER chooses psycopg2 or psycopg.
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
