import CHDF5

// A file is read for what it holds itself. Soft and external links, external storage and virtual datasets would have the
// library open other files, whose paths the file chooses, or follow a circle.

extension H5Group {
  /// Refuses a name on whose way there is another link than the one that an object has in its own file.
  func checkLinks(to name: String, from group: hid_t) throws {
    var prefix = name.hasPrefix("/") ? "/" : ""
    for part in name.split(separator: "/") {
      prefix += prefix.isEmpty || prefix == "/" ? String(part) : "/\(part)"
      let kind = lockstep_link_class(group, prefix)
      // Where there is none, opening it says so.
      guard kind != H5L_TYPE_ERROR.rawValue else { return }
      guard kind == H5L_TYPE_HARD.rawValue else {
        let noun = kind == H5L_TYPE_SOFT.rawValue ? "soft" : kind == H5L_TYPE_EXTERNAL.rawValue ? "external" : "foreign"
        throw H5Error(
          "is \(kind == H5L_TYPE_EXTERNAL.rawValue ? "an" : "a") \(noun) link, which is not followed: "
            + "store the object itself", at: place.appending(prefix))
      }
    }
  }
}

extension H5Dataset {
  /// Refuses a dataset whose values are not stored in its own file, or not all of them where they stand in the header.
  func checkStorage() throws {
    try withIdentifier { dataset in
      let creation = try H5Identifier(
        H5Dget_create_plist(dataset), "H5Dget_create_plist", at: place, release: H5Pclose)
      let layout = H5Pget_layout(creation.raw)
      guard layout == H5D_COMPACT || layout == H5D_CONTIGUOUS || layout == H5D_CHUNKED else {
        throw H5Error(
          layout == H5D_VIRTUAL
            ? "is a virtual dataset, whose values are in other files: store the values themselves"
            : "has an unknown layout", at: place)
      }
      let files = try H5Library.check(H5Pget_external_count(creation.raw), "H5Pget_external_count", at: place)
      guard files == 0 else {
        throw H5Error("has its values in other files (external storage): store them in this one", at: place)
      }
      // HDF5 1.10 copies values out of a header without asking how many bytes it has.
      guard layout == H5D_COMPACT else { return }
      let type = try storedType(dataset)
      let space = try fileSpace(dataset)
      let count = try extents(space.raw).reduce(1, *)
      let (needed, overflows) = count.multipliedReportingOverflow(by: H5Tget_size(type.raw))
      let stored = H5Dget_storage_size(dataset)
      guard !overflows, needed <= stored else {
        throw H5Error("claims \(count) values, but only \(stored) bytes are stored", at: place)
      }
    }
  }
}
