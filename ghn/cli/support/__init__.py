"""What commands share: files that they write, names that they take, what they show."""
