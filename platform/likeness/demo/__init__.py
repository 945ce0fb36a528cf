"""The demo: the embedded profile, driven over HTTP as an HR admin and the employees would."""
