//! The sending end of the conversation.
