"""`relume view`: a local page that relights an analysed plate while one drags the light."""
