"""What was taken down, and the objects that follow.

Revision ID: 0005
Revises: 0004
"""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Run the statements beside this file, which never change again."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())
