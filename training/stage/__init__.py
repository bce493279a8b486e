"""The synthetic light stage: people, light and the pictures they make."""
