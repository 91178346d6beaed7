"""Roles by kind of work, with the least that each needs.

Revision ID: 0007
Revises: 0006
"""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the roles, which belong to the server, and run the statements beside this file, which never change again."""
    here = Path(__file__)
    op.get_bind().exec_driver_sql((here.parents[2] / "roles.sql").read_text())
    op.get_bind().exec_driver_sql(here.with_suffix(".sql").read_text())
