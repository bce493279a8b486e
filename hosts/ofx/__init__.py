"""OpenFX: effects that are generated from the declarations, and the bundle that shows them."""
