pub mod blob_store;
pub mod metadata;
pub mod oci;
