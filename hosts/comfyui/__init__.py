"""ComfyUI: a pack of nodes made from the declarations, and what puts it into place."""
