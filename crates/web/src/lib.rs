//! The HTTP face: API, public pages, webhooks, console.
