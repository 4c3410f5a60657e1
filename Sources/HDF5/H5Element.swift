import CHDF5

/// The number types that a dataset or attribute may have.
package enum H5ElementType: String, Sendable, CaseIterable {
  case float32, float64, uint8, uint16, uint32, uint64, int32, int64

  /// Bytes of one element.
  package var size: Int {
    switch self {
    case .uint8: 1
    case .uint16: 2
    case .float32, .uint32, .int32: 4
    case .float64, .uint64, .int64: 8
    }
  }

  var identifier: hid_t {
    switch self {
    case .float32: H5T_NATIVE_FLOAT
    case .float64: H5T_NATIVE_DOUBLE
    case .uint8: H5T_NATIVE_UINT8
    case .uint16: H5T_NATIVE_UINT16
    case .uint32: H5T_NATIVE_UINT32
    case .uint64: H5T_NATIVE_UINT64
    case .int32: H5T_NATIVE_INT32
    case .int64: H5T_NATIVE_INT64
    }
  }

  /// The type with the same values as the library's `type`, in whichever byte order; nil for others.
  init?(_ type: hid_t) {
    let isSigned = H5Tget_sign(type) == H5T_SGN_2
    switch (H5Tget_class(type), H5Tget_size(type)) {
    case (H5T_FLOAT, 4): self = .float32
    case (H5T_FLOAT, 8): self = .float64
    case (H5T_INTEGER, 1) where !isSigned: self = .uint8
    case (H5T_INTEGER, 2) where !isSigned: self = .uint16
    case (H5T_INTEGER, 4): self = isSigned ? .int32 : .uint32
    case (H5T_INTEGER, 8): self = isSigned ? .int64 : .uint64
    default: return nil
    }
  }
}

/// A Swift number that HDF5 can read into and write from. The library converts between stored type and this one; values
/// that don't fit are clamped to its range.
package protocol H5Element: BitwiseCopyable, Sendable {
  static var h5Type: H5ElementType { get }
  static var zero: Self { get }
}

extension Float: H5Element { package static var h5Type: H5ElementType { .float32 } }
extension Double: H5Element { package static var h5Type: H5ElementType { .float64 } }
extension UInt8: H5Element { package static var h5Type: H5ElementType { .uint8 } }
extension UInt16: H5Element { package static var h5Type: H5ElementType { .uint16 } }
extension UInt32: H5Element { package static var h5Type: H5ElementType { .uint32 } }
extension UInt64: H5Element { package static var h5Type: H5ElementType { .uint64 } }
extension Int32: H5Element { package static var h5Type: H5ElementType { .int32 } }
extension Int64: H5Element { package static var h5Type: H5ElementType { .int64 } }
/// Stored with 64 bits, as on every machine that this project runs on.
extension Int: H5Element { package static var h5Type: H5ElementType { .int64 } }
