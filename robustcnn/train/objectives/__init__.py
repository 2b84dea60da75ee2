"""What training descends, a file a family."""
