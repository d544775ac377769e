// Package site knows which site this is and which machines serve it: the site
// code and root, the site systems, and the roles assigned to each. It owns the
// tables site, site_system and site_system_role and knows no feature.
//
// Guarantees: there is one site per database, its code and root never change.
package site
