"""How hosts are treated, and what may be fetched in a day.

Revision ID: 0003
Revises: 0002
"""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Run the statements beside this file, which never change again."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())
