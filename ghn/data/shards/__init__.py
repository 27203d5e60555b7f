"""Images in tar files (shards), as `webdataset` writes them, read at any place."""
