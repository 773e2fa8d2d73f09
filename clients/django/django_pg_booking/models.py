"""This app has no models: those for pg_booking's tables are in .tickets.

Django sends the signals of migrate only to apps that have this module.
"""
