"""One file a source; each has a `SOURCE` that `ghn.zoo.build` lists."""
