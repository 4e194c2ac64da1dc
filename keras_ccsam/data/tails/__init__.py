"""How the tail is cut: profiles of class counts, and which images are kept."""
