"""Crawls judge channels and keywords by yields that are counted as outcomes are recorded.

Revision ID: 0019
Revises: 0018
"""

from pathlib import Path

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Run the statements beside this file, which never change again."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())
