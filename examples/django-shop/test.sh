#!/bin/bash
#
# test.sh - tests the example by Django's test runner: a stampede over HTTP, the sale in
# two steps, the admin, each with ATOMIC_REQUESTS off and on.
#
# clients/django/test.sh runs these tests, too, so that both share one server.
#
# usage: examples/django-shop/test.sh [psycopg2|psycopg ...]

exec "$(dirname "${BASH_SOURCE[0]}")/../../clients/django/test.sh" --only shop "$@"
