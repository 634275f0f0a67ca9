"""Where a remote lies: folders and buckets, what each can do, and addresses to fetch from without hubman."""
