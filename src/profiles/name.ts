/** A name that is safe as a file name and short enough for a socket path; `up NAME` and the profile's file share it. */
export const profileNamePattern = /^[a-z0-9][a-z0-9._-]{0,63}$/;
