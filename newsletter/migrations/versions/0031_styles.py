"""Readers at risk: how their mail is to look, whether their name may be kept, and in which styles a mailing was composed."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

# Whoever writes the row (an import, a form): a name that must not be kept is not.
NAMELESS = """
CREATE FUNCTION keeps_no_name() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.name_sealed := NULL;
    RETURN NEW;
END $$
"""
WISHES = "style, nameless"


def upgrade() -> None:
    """Add the columns with their rules; everyone's style is the plain one."""
    op.add_column("subscriber", sa.Column("style", sa.Text(), server_default="", nullable=False))
    op.add_column("subscriber", sa.Column("nameless", sa.Boolean(), server_default="false", nullable=False))
    op.create_check_constraint(op.f("ck_subscriber_style_is_known"), "subscriber", "style ~ '^d?f?m?t?$'")
    op.create_check_constraint(
        op.f("ck_subscriber_no_name_is_kept"), "subscriber", "NOT nameless OR name_sealed IS NULL"
    )
    op.create_index("styles_of_readers", "subscriber", ["style"], postgresql_where=sa.text("style <> ''"))
    op.execute(NAMELESS)
    op.execute(
        "CREATE TRIGGER keeps_no_name BEFORE INSERT OR UPDATE ON subscriber FOR EACH ROW"
        " WHEN (NEW.nameless AND NEW.name_sealed IS NOT NULL) EXECUTE FUNCTION keeps_no_name()"
    )
    op.add_column("variant", sa.Column("style", sa.Text(), server_default="", nullable=False))
    op.add_column("variant_group", sa.Column("style", sa.Text(), server_default="", nullable=False))
    op.drop_constraint(op.f("pk_variant_group"), "variant_group", type_="primary")
    op.create_primary_key(
        op.f("pk_variant_group"), "variant_group", ["mailing_id", "language", "style", "had_to", "had_alerts"]
    )
    for role in ("newsletter_web", "newsletter_worker"):
        op.execute(f"GRANT UPDATE ({WISHES}) ON subscriber TO {role}")
