"""What is searched for, and what it brought.

Revision ID: 0004
Revises: 0003
"""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run the statements beside this file, which never change again."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())
