"""Surface normals and cameras."""
