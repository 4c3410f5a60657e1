import Testing

/// Damage and accidents, done to the command as a user starts it. One test at a time, since each starts many processes;
/// `TestMode` says how much is tried.
@Suite(.serialized) struct HarnessTests {}
