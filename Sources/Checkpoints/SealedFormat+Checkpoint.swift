import Files

extension SealedFormat {
  /// A checkpoint file.
  package static let checkpoint = SealedFormat(
    name: "lockstep checkpoint", currentVersion: 1, noun: "checkpoint",
    remedy: "use another checkpoint of the run, or restore this one from a copy",
    remedyForPlainHDF5: "to start from its weights, name it as model.initial_parameters")
}
