"""India: the common data format of microfinance lenders for credit information companies (MFI CDF)."""
