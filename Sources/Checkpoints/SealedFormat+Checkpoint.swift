import Files

extension SealedFormat {
  /// A checkpoint's file.
  package static let checkpoint = SealedFormat(
    name: "lockstep checkpoint", currentVersion: 2, noun: "checkpoint",
    remedy: "use another checkpoint of the run, or restore this one from a copy",
    remedyForPlainHDF5: "to start from its weights, name it as model.initial_parameters",
    remedyForChanged:
      "a run can't be resumed from it; to start from its weights, cut the seal off (tail -c +513 FILE > "
      + "weights.h5) and name the rest as model.initial_parameters")
}

extension CheckpointHeader {
  /// What the store of a run directory reads from each checkpoint without opening it as HDF5.
  var sealNotes: [Seal.Note] {
    [Seal.Note("step", "\(step)")] + [run.map { Seal.Note("run", $0.id) }].compactMap { $0 }
      + [validation.map { Seal.Note("validation", "\($0)") }].compactMap { $0 }
  }
}
