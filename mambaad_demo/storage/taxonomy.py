"""The words for what may be wrong with a product, changed for everything that was said in them."""

from sqlalchemy import select, update

from mambaad_demo.errors import InputError
from mambaad_demo.storage import audit, text
from mambaad_demo.storage.labels import reviewer_name
from mambaad_demo.storage.tables import Decision, Draft, Image, Product, SavedView
from mambaad_demo.storage.workspace import Workspace


def rename_defect_type(workspace: Workspace, product: str, old: str, new: str, *, reviewer: str) -> int:
    """Call a type of defect of one product something else; all decisions on its pictures follow, undone ones
    drafts and saved views too. A type of the new name joins it. Returns how many decisions changed.

    Raises:
        InputError: no such product or type, or no new name.
    """
    actor, wanted = reviewer_name(reviewer), text.name(new)
    if not wanted:
        raise InputError("The type of defect has no new name. Type one.")
    with workspace.database.writing() as session:
        row = session.scalar(
            select(Product)
            .where(Product.workspace == workspace.key, Product.name == product)
            .with_for_update(key_share=True)
        )
        if row is None or old not in row.defect_types:
            raise InputError("This type of defect is no longer here. Load the page again.")
        if wanted == old:
            return 0
        row.defect_types = list(
            dict.fromkeys(wanted if known == old else known for known in row.defect_types)
        )
        images = select(Image.id).where(Image.product_id == row.id)
        changed = session.execute(
            update(Decision)
            .where(Decision.image_id.in_(images), Decision.defect_type == old)
            .values(defect_type=wanted)
        )
        count = int(changed.rowcount)  # type: ignore[attr-defined]
        for draft in session.scalars(select(Draft).where(Draft.image_id.in_(images))):
            if draft.content.get("defect_type") == old:
                draft.content = draft.content | {"defect_type": wanted}
        for view in session.scalars(select(SavedView).where(SavedView.workspace == workspace.key)):
            if (view.filters.get("product"), view.filters.get("defect_type")) == (product, old):
                view.filters = view.filters | {"defect_type": wanted}
        audit.note(
            session,
            workspace,
            actor=actor,
            action="defect type renamed",
            subject=text.name(f"product {product}"),
            old=old,
            new=wanted,
            decisions=count,
        )
        return count
