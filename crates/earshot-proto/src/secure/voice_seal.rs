//! Sealing voice packets: AEAD_AES_256_GCM for SRTP (RFC 7714).

/// The keys of both directions of one call.
pub struct VoiceKeys {}
