"""Files that somebody else wrote: read without running, or believing, anything in them."""
