"""What stands of a clip's review, where the corpus is counted.

Revision ID: 0015
Revises: 0014
"""

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Run the statements beside this file, which never change again."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())
