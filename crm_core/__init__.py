"""Customers, policies and sales agents: tables, services on top, migrations."""
