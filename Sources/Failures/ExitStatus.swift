/// The exit statuses of the command, after `sysexits.h`.
///
/// Scripts rely on them: a batch system restarts a job that ended with ``stoppedBySignal`` and leaves the others alone.
package enum ExitStatus: Int32, Sendable {
  /// The command did what it was asked.
  case done = 0
  /// EX_USAGE: a wrong option, a wrong key or value in a configuration.
  case usage = 64
  /// EX_DATAERR: input that is missing, damaged, or not what it says it is.
  case badData = 65
  /// EX_SOFTWARE: a fault of the program's own, or of a library under it.
  case softwareFault = 70
  /// EX_CANTCREAT: a file or directory that can't be written.
  case cannotWrite = 73
  /// EX_TEMPFAIL: stopped by a signal after a good checkpoint; starting the same command again continues the run.
  case stoppedBySignal = 75
}
