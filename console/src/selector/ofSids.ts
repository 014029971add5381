/** The selector that names sensors one by one. */
export const ofSids = (sids: readonly string[]) => sids.map((sid) => `sid == "${sid}"`).join(' or ')
