//! Zones that come signed are served as they are.
