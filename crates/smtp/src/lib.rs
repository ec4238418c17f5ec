//! SMTP without I/O: both ends of the conversation.
