"""Models of pg_booking's own tables: events, tickets, holds and named locks.

The app needs schema booking in the search_path of the connection.
"""
