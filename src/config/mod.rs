//! The configuration: file, environment, checked settings, problems.
