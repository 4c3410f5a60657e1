import CHDF5

/// A group: a folder of groups and datasets.
package class H5Group: H5Object, @unchecked Sendable {
  /// The names in this group, in the order of their creation where the file records it, else by name.
  package func links() throws -> [String] {
    try withIdentifier { group in
      var info = H5G_info_t()
      try H5Library.check(H5Gget_info(group, &info), "H5Gget_info", at: place)
      // A damaged file can claim more than there is memory for.
      guard info.nlinks <= 1 << 20 else { throw H5Error("claims \(info.nlinks) members", at: place) }
      // HDF5 1.10 frees what it has not made yet where a link cannot be decoded while it builds its table of all of them.
      // Looking one up decodes them too, and reports the error.
      try H5Library.check(H5Lexists(group, "\u{7F}", H5P_DEFAULT), "H5Lexists", at: place)
      let order = try isOrderTracked(group) ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME
      return try (0..<info.nlinks).map { try linkName(group, at: $0, order: order) }
    }
  }

  /// Whether this group has a member `name`.
  /// - Throws: `H5Error` if that is a link to somewhere else.
  package func contains(_ name: String) throws -> Bool {
    try withIdentifier { group in
      try checkLinks(to: name, from: group)
      // H5Oexists_by_name reports an error, not "no", for a path whose first part is missing; so go part by part.
      var prefix = name.hasPrefix("/") ? "/" : ""
      for part in name.split(separator: "/") {
        prefix += prefix.isEmpty || prefix == "/" ? String(part) : "/\(part)"
        guard try H5Library.check(H5Lexists(group, prefix, H5P_DEFAULT), "H5Lexists", at: place) > 0,
          H5Oexists_by_name(group, prefix, H5P_DEFAULT) > 0
        else { return false }
      }
      return true
    }
  }

  /// Creates a group that remembers the order in which its members are created.
  @discardableResult
  package func createGroup(_ name: String) throws -> H5Group {
    let place = self.place.appending(name)
    return try withIdentifier { group in
      let creation = try H5Identifier.properties(H5P_GROUP_CREATE, at: place)
      try H5Group.trackOrder(creation.raw, at: place)
      let link = try H5Group.linkProperties(at: place)
      let identifier = try H5Identifier(
        H5Gcreate2(group, name, link.raw, creation.raw, H5P_DEFAULT), "H5Gcreate2", at: place, release: H5Gclose)
      return H5Group(identifier, closing: "H5Gclose", place: place, owner: file)
    }
  }

  /// Opens a group.
  /// - Throws: `H5Error` if it is missing, not a group, or a link to somewhere else.
  package func openGroup(_ name: String) throws -> H5Group {
    let place = self.place.appending(name)
    return try withIdentifier { group in
      try checkLinks(to: name, from: group)
      let identifier = try H5Identifier(
        H5Gopen2(group, name, H5P_DEFAULT), "H5Gopen2", at: place, release: H5Gclose)
      return H5Group(identifier, closing: "H5Gclose", place: place, owner: file)
    }
  }

  /// Whether `name` is a dataset, and not a group.
  package func isDataset(_ name: String) throws -> Bool {
    guard try contains(name) else { return false }
    return try withIdentifier { group in
      let object = try H5Identifier(
        H5Oopen(group, name, H5P_DEFAULT), "H5Oopen", at: place.appending(name), release: H5Oclose)
      return H5Iget_type(object.raw) == H5I_DATASET
    }
  }
}

extension H5Group {
  static func trackOrder(_ creation: hid_t, at place: H5Place) throws {
    try H5Library.check(
      H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED),
      "H5Pset_link_creation_order", at: place)
  }

  static func linkProperties(at place: H5Place) throws -> H5Identifier {
    let link = try H5Identifier.properties(H5P_LINK_CREATE, at: place)
    try H5Library.check(H5Pset_char_encoding(link.raw, H5T_CSET_UTF8), "H5Pset_char_encoding", at: place)
    return link
  }

  private func isOrderTracked(_ group: hid_t) throws -> Bool {
    // The root group's creation properties are read through the group, since a file's are of another class.
    let root = try H5Identifier(H5Gopen2(group, ".", H5P_DEFAULT), "H5Gopen2", at: place, release: H5Gclose)
    let creation = try H5Identifier(
      H5Gget_create_plist(root.raw), "H5Gget_create_plist", at: place, release: H5Pclose)
    var flags: UInt32 = 0
    try H5Library.check(
      H5Pget_link_creation_order(creation.raw, &flags), "H5Pget_link_creation_order", at: place)
    return flags & H5P_CRT_ORDER_TRACKED != 0
  }

  private func linkName(_ group: hid_t, at position: hsize_t, order: H5_index_t) throws -> String {
    let call = "H5Lget_name_by_idx"
    let length = try H5Library.check(
      H5Lget_name_by_idx(group, ".", order, H5_ITER_INC, position, nil, 0, H5P_DEFAULT), call, at: place)
    var name = [CChar](repeating: 0, count: Int(length) + 1)
    try H5Library.check(
      H5Lget_name_by_idx(group, ".", order, H5_ITER_INC, position, &name, name.count, H5P_DEFAULT), call, at: place)
    return name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }
}
