import Testing

/// The command as a user starts it. One test at a time: each may start several processes, and the cores are few.
@Suite(.serialized)
struct EndToEndTests {}
