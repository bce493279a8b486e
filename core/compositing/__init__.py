"""What a comp needs: over, grade, resize and channels, in scene-linear light."""
