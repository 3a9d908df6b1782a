"""The library of texts."""

from datetime import datetime
from typing import Any
from uuid import UUID

from shared.database.db import Connection

LIST_TEMPLATES = """
SELECT id, name, template_type::text AS template_type, content, variables, category, is_system_template, created_at
FROM campaign_templates WHERE cafe_id = $1 ORDER BY is_system_template DESC, name, id
"""
INSERT_TEMPLATE = """
INSERT INTO campaign_templates (cafe_id, id, name, template_type, content, variables, category, created_at)
VALUES ($1, $2, $3, $4::campaign_type_enum, $5, $6, $7, $8)
"""
UPDATE_TEMPLATE = """
UPDATE campaign_templates SET name = $3, template_type = $4::campaign_type_enum, content = $5, variables = $6,
                              category = $7
WHERE cafe_id = $1 AND id = $2 AND NOT is_system_template
"""
DELETE_TEMPLATE = "DELETE FROM campaign_templates WHERE cafe_id = $1 AND id = $2 AND NOT is_system_template"


async def list_templates(conn: Connection, cafe_id: UUID) -> list[dict[str, Any]]:
    """The cafe's library of texts."""
    return [dict(row) for row in await conn.fetch(LIST_TEMPLATES, cafe_id)]


async def insert_template(
    conn: Connection, cafe_id: UUID, template_id: UUID, name: str, kind: str, content: str,
    variables: dict[str, str], category: str | None, at: datetime,
) -> None:  # fmt: skip
    """Adds a text to the library."""
    await conn.execute(INSERT_TEMPLATE, cafe_id, template_id, name, kind, content, variables, category, at)


async def update_template(
    conn: Connection, cafe_id: UUID, template_id: UUID, name: str, kind: str, content: str,
    variables: dict[str, str], category: str | None,
) -> bool:  # fmt: skip
    """Replaces a text of the cafe's own; False when there is none."""
    done: str = await conn.execute(UPDATE_TEMPLATE, cafe_id, template_id, name, kind, content, variables, category)
    return done == "UPDATE 1"


async def delete_template(conn: Connection, cafe_id: UUID, template_id: UUID) -> bool:
    """Removes a text of the cafe's own; False when there is none."""
    done: str = await conn.execute(DELETE_TEMPLATE, cafe_id, template_id)
    return done == "DELETE 1"
