"""Pictures of what the analyses found; each says what was measured on what."""
