"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""

# Rules for authors
# - Import alembic, sqlalchemy and the standard library, nothing of the planner: this file runs unchanged in five years.
# - The next number is the id: 0003, 0004 … A plugin's ids begin with its branch label: gh200_0001.
# - A release of facts is not written by hand: python -m planner.catalog.release OLD NEW writes its revision.
# - Facts come from a frozen, dated file beside this package (seed_data/releases/…). A file that a published revision
#   reads never changes: a test pins its checksum. A correction is a new file and a new revision.
# - Write a true downgrade. It removes exactly the rows that the upgrade brought, by slug and layer, and never a row of
#   the layer "user". A test goes up, down and up again and compares all rows.
# - A reference that two tables need of each other is a slug, not a foreign key.
# - A stricter constraint first moves the rows of the layer "user" that break it into a table parked_NAME beside theirs;
#   the planner puts them back once they fit. What a downgrade drops of that layer the planner keeps by itself.
# - An upgrade costs what its facts cost, not what a user has: put new columns with rules into a table of their own, add a
#   plain one with op.add_column outside batch mode, which writes every row of the table anew. A test counts SQLite's steps.
#   An index reads every row once: make it only for a question that would else read them each time, and say what it costs.
# - Name every constraint. Foreign keys are off while revisions run and checked
#   before the commit: delete children yourself, nothing cascades.
# - Never commit: one transaction holds the whole upgrade. Keep it short, readers wait for it.
# - Dense rates only; bytes and SI units; a price or a measurement has a date; each row names its source.

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "raise NotImplementedError"}


def downgrade() -> None:
    ${downgrades if downgrades else "raise NotImplementedError"}
