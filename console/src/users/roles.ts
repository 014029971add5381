/** Roles of the server, from the mightiest. */
export const ROLES = ['Owner', 'Administrator', 'Operator', 'Viewer', 'Basic'] as const
